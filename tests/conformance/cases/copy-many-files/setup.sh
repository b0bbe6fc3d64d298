# Makes what git cannot hold; runs in a copy of this folder.
mkdir many && for i in $(seq 900); do echo $i > many/$i; done
