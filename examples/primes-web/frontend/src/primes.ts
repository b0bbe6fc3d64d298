/** The first `count` primes, as the server knows them. */
export async function askPrimes(count: number): Promise<number[]> {
  const answer = await fetch(`/primes/${count}`);
  return (await answer.text()).trim().split(" ").map(Number);
}
