"""What a network may be: graphs, and the spaces of networks that can be made from one. No torch."""
