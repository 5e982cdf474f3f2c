import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { BoundedMap } from './bounded-map.ts';

test('never holds more than twice the limit, never another value, and always the last one', () => {
  const step = fc.record({ key: fc.integer({ min: 0, max: 12 }).map(String), isSet: fc.boolean() });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 80 }), (limit, steps) => {
      const map = new BoundedMap<number>(limit);
      const truth = new Map<string, number>();
      for (const [index, { key, isSet }] of steps.entries()) {
        if (isSet) {
          map.set(key, index);
          truth.set(key, index);
        }
        const found = map.get(key);
        expect(found ?? (isSet ? 'lost' : truth.get(key))).toBe(truth.get(key));
        expect(map.size).toBeLessThanOrEqual(limit * 2);
      }
    }),
  );
});

test('what is asked for stays', () => {
  const map = new BoundedMap<number>(10);
  map.set('hot', 1);
  for (let index = 0; index < 1000; index++) {
    map.set(`cold${index}`, index);
    expect(map.get('hot')).toBe(1);
  }
});
