#!/bin/sh
# Types, rules, format, dead code: each says its own faults.
set -eu
tsc -p .
oxlint --type-aware --deny-warnings
biome check .
knip
