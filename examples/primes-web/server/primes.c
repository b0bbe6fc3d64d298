#include "primes.h"

void first_primes(int count, int *primes)
{
    int found = 0;

    for (int number = 2; found < count; number++) {
        int divided = 0;

        for (int place = 0; place < found && primes[place] * primes[place] <= number && !divided; place++)
            divided = number % primes[place] == 0;
        if (!divided)
            primes[found++] = number;
    }
}
