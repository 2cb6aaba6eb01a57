"""The local stack: one Apache Kafka node and one Valkey on loopback, of packages, with nothing else installed.

stack.py        the stack of a data folder: started, found, ended
kafka.py        one Kafka node (KRaft) on one data folder
valkey.py       one Valkey server (Redis protocol)
java.py         the Java runtime
jars.py         Kafka's jars, by the lock file `kafka-jars.lock.json`
downloads.py    the jars fetched, through Maven or jgo
class_cache.py  Java's cache of loaded classes, so that Kafka starts in less than half the time
cache.py        the folder that all checkouts share
lock_jars.py    writes the lock file (`make kafka-lock`)
"""
