#!/usr/bin/env bash
# JWT libraries for the snippets of docs/verify that this release of Debian has not: taken from the next one by apt,
# which verifies them, and unpacked beside this file; nothing is installed.
set -euo pipefail
cd "$(dirname "$0")"

release=trixie
packages=(
  libjose4j-java libslf4j-java                                     # Java
  golang-github-golang-jwt-jwt-v5-dev                              # Go
  php-lcobucci-jwt php-lcobucci-clock php-psr-clock                # PHP
  ruby-jwt                                                         # Ruby
)
wanted="$release ${packages[*]}"
[ "$(cat libraries/.unpacked 2>/dev/null)" = "$wanted" ] && exit

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
rm -rf libraries
mkdir -p libraries/apt/{lists,cache,parts}
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" > libraries/apt/sources.list
apt=(apt-get -qq -o Dir::Etc::SourceList="$PWD/libraries/apt/sources.list" -o Dir::Etc::SourceParts="$PWD/libraries/apt/parts"
  -o Dir::State::Lists="$PWD/libraries/apt/lists" -o Dir::Cache="$PWD/libraries/apt/cache" -o APT::Sandbox::User=root)
"${apt[@]}" update
(cd libraries/apt && "${apt[@]}" download "${packages[@]}")
for package in libraries/apt/*.deb; do
  dpkg -x "$package" libraries
done
rm -rf libraries/apt
echo "$wanted" > libraries/.unpacked
