<?php
// Who makes a request: lcobucci/jwt 5, lcobucci/clock 3, and the extension apcu.
use Lcobucci\Clock\SystemClock;
use Lcobucci\JWT\Encoding\JoseEncoder;
use Lcobucci\JWT\Signer\Ecdsa\Sha256;
use Lcobucci\JWT\Signer\Key\InMemory;
use Lcobucci\JWT\Token\Parser;
use Lcobucci\JWT\Validation\Constraint\{IssuedBy, LooseValidAt, PermittedFor, SignedWith};
use Lcobucci\JWT\Validation\Validator;

/** The published keys as PEM, by id. */
function kombo_fetch(): array
{
    $http = stream_context_create(['http' => ['timeout' => 5, 'follow_location' => 0]]);
    $json = file_get_contents('http://127.0.0.1:8081/jwks.json', false, $http);
    $keys = [];
    foreach (json_decode($json, false, 8, JSON_THROW_ON_ERROR)->keys as $key) {
        if (($key->crv ?? '') === 'P-256' && is_string($key->kid ?? null)) {
            $point = base64_decode(strtr($key->x, '-_', '+/')) . base64_decode(strtr($key->y, '-_', '+/'));
            $der = base64_decode('MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE') . $point;
            $keys[$key->kid] = "-----BEGIN PUBLIC KEY-----\n" . base64_encode($der) . "\n-----END PUBLIC KEY-----\n";
        }
    }
    return $keys;
}

/** Kept for 300 s; for a key that is not known it asks again, but not more than once in 10 s. */
function kombo_key(string $id): string
{
    $keys = apcu_entry('kombo_keys', 'kombo_fetch', 300);
    if (!isset($keys[$id]) && apcu_add('kombo_asked', 1, 10)) {
        apcu_store('kombo_keys', $keys = kombo_fetch(), 300);
    }
    return $keys[$id] ?? throw new UnexpectedValueException('another key');
}

/** The claims of $_SERVER['HTTP_X_KOMBO_ASSERTION'] ?? ''; throws for anything that is not good. */
function kombo_identity(string $value): array
{
    $token = (new Parser(new JoseEncoder()))->parse($value);
    [$head, $claims] = [$token->headers(), $token->claims()];
    $whole = is_string($head->get('kid')) && $claims->has('exp') && $claims->has('iat');
    if ($head->get('typ') !== 'kombo-identity+jwt' || $head->has('crit') || !$whole) {
        throw new UnexpectedValueException('another kind of token');
    }
    (new Validator())->assert(
        $token,
        new SignedWith(new Sha256(), InMemory::plainText(kombo_key($head->get('kid')))),
        new PermittedFor('content-platform'), // `audience` in bridge.yaml
        new IssuedBy('https://learn.example.com'), // `public_url`
        new LooseValidAt(SystemClock::fromUTC(), new DateInterval('PT30S')),
    );
    return $claims->all();
}
