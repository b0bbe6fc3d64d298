# Makes what git cannot hold; runs in a copy of this folder.
mkdir -p one/two three && chmod 711 three
