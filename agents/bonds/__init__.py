"""bonds"""
