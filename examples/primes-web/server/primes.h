/* Prime numbers. */
#ifndef PRIMES_H
#define PRIMES_H

/* Writes the first `count` primes into `primes`. */
void first_primes(int count, int *primes);

#endif
