/** Durations as Cloud Run's condition messages print them: Go's notation with at most two decimals (`12.3s`, `1m8.83s`, `2h0m1s`). */
import { MICROS_PER_SECOND, type Micros } from '../timestamp.ts';

/** @param micros a span, negative ones count as none */
export function goDuration(micros: Micros): string {
  const hundredths = Math.round(Math.max(0, micros) / (MICROS_PER_SECOND / 100));
  const hours = Math.floor(hundredths / 360_000);
  const minutes = Math.floor(hundredths / 6000) % 60;
  const seconds = `${(hundredths % 6000) / 100}s`;
  return hours > 0 ? `${hours}h${minutes}m${seconds}` : minutes > 0 ? `${minutes}m${seconds}` : seconds;
}
