"""What WhatsMiner machines understand on the wire: ciphers, tokens and frames, without a word on when to use them."""
