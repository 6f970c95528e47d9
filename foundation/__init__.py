"""What every package stands on: database, clock, actors, tokens, errors. A closed list without a noun of the domain."""
