"""The rules of value, pure.

money → calendar → merchant, programme → restriction, cashback → wallet → decide.
"""
