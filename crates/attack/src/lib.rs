//! Attack techniques, a file each, and their runner. Speaks raw HTTP as an attacker would.
