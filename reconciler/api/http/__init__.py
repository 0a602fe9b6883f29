"""How requests reach the API: address, proxy, certificates and token; sending, decoding, retrying; what went wrong."""
