import { askPrimes } from "./primes";

const count = document.getElementById("count") as HTMLInputElement;
const place = document.getElementById("primes") as HTMLParagraphElement;

async function show(): Promise<void> {
  place.textContent = (await askPrimes(count.valueAsNumber)).join(", ");
}

count.addEventListener("input", () => void show());
void show();
