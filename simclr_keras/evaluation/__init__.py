"""How good are frozen features?"""
