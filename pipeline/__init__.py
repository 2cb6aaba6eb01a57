"""The body: everything that touches the world. Imports agents and schemas."""
