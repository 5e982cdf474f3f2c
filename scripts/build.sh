#!/bin/sh
# The published form: plain JavaScript, its types, and every file that the program reads at run time.
# Node strips no types under node_modules, so a package cannot run from source.
#   sh scripts/build.sh [DIRECTORY]     default: dist
set -eu
cd "$(dirname "$0")/.."
out=${1:-dist}
rm -rf "$out"
node_modules/.bin/tsc -p tsconfig.build.json --outDir "$out"
# Generated code, the role catalogue and whatever else is no TypeScript source goes along as it is, under the same name.
(cd src && find . -type f \( ! -name '*.ts' -o -name '*.d.ts' \) ! -name '.*') | while IFS= read -r file; do
  mkdir -p "$out/$(dirname "$file")"
  cp "src/$file" "$out/$file"
done
# The compiler rewrites imports alone: not those in declarations, nor the files that threads are started from.
find "$out" -type f \( -name '*.d.ts' -o -name '*.js' \) ! -path "$out/gen/*" -exec grep -lE "'\.{1,2}/[^']*\.ts'" {} + | while IFS= read -r file; do
  sed -E "s#'(\.{1,2}/[^']*)\.ts'#'\1.js'#g" "$file" > "$file.new"
  mv "$file.new" "$file"
done
