"""What every part agrees on, standard library only: slots, contracts, signing, address guard."""
