"""What the author of a vendor adapter imports: the contract, the tool file, errors, simulators."""
