"""How a gateway is put together: what is opened, with which secrets, in which order.

``house`` reads policies and tools, ``connections`` reaches them with what ``secret_files`` finds,
``records`` opens what keeps, ``serving`` puts all of it together. ``careweir.app`` puts the web
application around them.
"""
