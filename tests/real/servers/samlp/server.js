// Identity providers of many customers, on npm's samlp: node server.js PORT CUSTOMERS.json
//
//   /{customer}/sso      an AuthnRequest by HTTP-Redirect; asks who to be
//   /{customer}/launch   the IdP's own side: ?user=…&RelayState=…
//
// CUSTOMERS.json is read again with every request: {customer: {issuer, key, cert, audience, acs, users, options}},
// `users` being {name: {nameId, attributes}} and `options` what samlp takes.
'use strict';
const fs = require('fs');
const express = require('express');
const samlp = require('samlp');

const [port, file] = process.argv.slice(2);
const app = express();
app.use(express.urlencoded({ extended: false }));

const customer = (request) => JSON.parse(fs.readFileSync(file))[request.params.customer];

class Mapper {
  constructor(user) { this.user = user; }
  getClaims() { return this.user.attributes; }
  getNameIdentifier() { return { nameIdentifier: this.user.nameId }; }
}

function answer(request, response, next, name, more) {
  const of = customer(request);
  samlp.auth({
    issuer: of.issuer,
    cert: of.cert,
    key: of.key,
    audience: of.audience,
    recipient: of.acs,
    destination: of.acs,
    getPostURL: (audience, asked, request, found) => found(null, of.acs),
    getUserFromRequest: () => of.users[name],
    profileMapper: (user) => new Mapper(user),
    lifetimeInSeconds: 300,
    sessionIndex: 'S1',
    ...of.options,
    ...more,
  })(request, response, next);
}

app.get('/:customer/sso', (request, response) => {
  response.send('<!doctype html><title>Who are you?</title><form method="post"><input name="username"></form>');
});
app.post('/:customer/sso', (request, response, next) => {
  answer(request, response, next, request.body.username);
});
app.get('/:customer/launch', (request, response, next) => {
  answer(request, response, next, request.query.user, { RelayState: request.query.RelayState });
});
app.use((error, request, response, next) => response.status(500).send(`<pre>${error.stack}</pre>`));
app.listen(Number(port), '127.0.0.1', () => console.log('listening'));
