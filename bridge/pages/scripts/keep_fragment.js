// The part of an address after "#" never reaches a server, so it goes along in `next`, as far as 2 KiB have room for it.
const link = new URL(document.querySelector("a.button").href);
const fragment = location.hash.slice(1).replace(/[^!$-;=?-\[\]-~]/g, encodeURIComponent);
const next = `${link.searchParams.get("next")}#${fragment}`;
if (fragment && next.length <= 2048) link.searchParams.set("next", next);
location.replace(link);
