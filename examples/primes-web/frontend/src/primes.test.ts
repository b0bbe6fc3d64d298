import { askPrimes } from "./primes";

globalThis.fetch = async () => new Response("2 3 5\n");
console.assert((await askPrimes(3)).join() === "2,3,5");
