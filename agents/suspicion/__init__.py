"""suspicion"""
