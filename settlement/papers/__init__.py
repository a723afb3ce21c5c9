"""Papers for merchants, the city and the auditor."""
