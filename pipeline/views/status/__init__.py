"""How a deployment is doing: lag, workers, incidents. `report` is pure; the others read a broker."""
