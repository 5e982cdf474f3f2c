#!/bin/sh
# The published form: plain JavaScript, its types, and every file that the program reads at run time.
# Node strips no types under node_modules, so a package cannot run from source.
#   sh scripts/build.sh [DIRECTORY]     default: dist
set -eu
cd "$(dirname "$0")/.."
out=${1:-dist}
rm -rf "$out"
node_modules/.bin/tsc -p tsconfig.build.json --outDir "$out/types"
(cd src && find gen -name '*.d.ts') | while IFS= read -r file; do
  mkdir -p "$out/types/$(dirname "$file")"
  cp "src/$file" "$out/types/$file"
done
# The compiler leaves the endings of imports in declarations as they are.
find "$out/types" -type f -name '*.d.ts' ! -path "$out/types/gen/*" -exec grep -lE "'\.{1,2}/[^']*\.ts'" {} + | while IFS= read -r file; do
  sed -E "s#'(\.{1,2}/[^']*)\.ts'#'\1.js'#g" "$file" > "$file.new"
  mv "$file.new" "$file"
done
node_modules/.bin/node scripts/bundle.mjs "$out"
cp -r src/policy/catalogue "$out/catalogue"
cp -r src/policy/methods "$out/methods"
cp src/cli/node-proxy.cjs "$out/node-proxy.cjs"
