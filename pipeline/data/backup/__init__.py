"""Backups of a deployment: folders with the states of all agents and all records, made while workers go on."""
