"""The type checker of the tests: what annotations say of tensors and arguments is checked at every call."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as for every type checker
