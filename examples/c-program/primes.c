/* Prints the first N primes. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    int wanted = argc > 1 ? atoi(argv[1]) : 10;

    for (int number = 2; wanted > 0; number++) {
        int prime = 1;

        for (int divisor = 2; divisor * divisor <= number && prime; divisor++)
            prime = number % divisor != 0;
        if (prime) {
            wanted--;
            printf("%d%c", number, wanted ? ' ' : '\n');
        }
    }
    return 0;
}
