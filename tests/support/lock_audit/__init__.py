"""What the package index says of every locked release: yanked or gone, known vulnerabilities, hashes."""
