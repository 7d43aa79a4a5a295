"""What is sent to a device: it runs model files there and streams what it measured. See `agent`.

Python 3.8, NumPy and a runtime are all it needs; `shipped` packs it, and is the one module that stays here.
"""
