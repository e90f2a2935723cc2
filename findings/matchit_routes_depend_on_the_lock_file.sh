#!/usr/bin/env bash
# Which routes a router accepts depends on who else is in the program.
#
# matchit 0.8.6, a patch release, accepts a text behind a parameter ("/{name}.json"); 0.8.4 refuses it. axum 0.8.9 asks for exactly
# 0.8.4, and Cargo keeps one 0.8.x in a program. So a crate that asks for matchit "0.8" and inserts such a route works, until somebody
# adds axum to the same program: not a line of the crate has changed, it builds, and its route is refused when it runs.
#
# Seen with matchit 0.8.6 and 0.8.4, axum 0.8.9 without its default features:
#   alone:       Ok(()), "/report.json" has name = "report"
#   with axum:   Err(Only one parameter is allowed per path segment)
#
# Fails when that changes. Needs cargo and crates.io.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir src
cat >src/main.rs <<'RUST'
fn main() {
    let mut router = matchit::Router::new();
    match router.insert("/{name}.json", ()) {
        Ok(()) => println!("Ok, name = {:?}", router.at("/report.json").map(|found| found.params.get("name").map(str::to_owned))),
        Err(error) => println!("Err: {error}"),
    }
}
RUST
manifest() {
    printf '[package]\nname = "probe"\nversion = "0.0.0"\nedition = "2024"\n[dependencies]\nmatchit = "0.8"\n%s\n' "$1" >Cargo.toml
}
expect() {
    local got
    got=$(cargo run -q 2>/dev/null)
    printf '%-24s matchit %s: %s\n' "$1" "$(cargo tree --prefix none | sed -n 's/^matchit v//p' | head -1)" "$got"
    [ "$got" = "$2" ] || { echo "this has changed; expected: $2" >&2; exit 1; }
}
manifest ''
cargo update -q -p matchit --precise 0.8.6
expect "alone" 'Ok, name = Ok(Some("report"))'
rm Cargo.lock
manifest 'axum = { version = "=0.8.9", default-features = false }'
expect "with axum 0.8.9" 'Err: Only one parameter is allowed per path segment'
