// Who makes a request: jose 6 (panva).
import { createRemoteJWKSet, jwtVerify } from "jose";

const keys = createRemoteJWKSet(new URL("http://127.0.0.1:8081/jwks.json"), {
  cacheMaxAge: 300_000,
  cooldownDuration: 10_000, // before asking again for a key that it does not know
  timeoutDuration: 5_000,
});

/** The claims of the values of X-Kombo-Assertion; throws for anything that is not good. */
export async function identity(values = []) {
  if (values.length !== 1) throw new Error("X-Kombo-Assertion has to stand exactly once");
  const { payload, protectedHeader } = await jwtVerify(values[0], keys, {
    algorithms: ["ES256"],
    typ: "kombo-identity+jwt",
    audience: "content-platform", // `audience` in bridge.yaml
    issuer: "https://learn.example.com", // `public_url`
    clockTolerance: 30,
    maxTokenAge: 60,
    requiredClaims: ["exp", "iat"],
  });
  if (!protectedHeader.kid) throw new Error("another kind of token");
  return payload;
}
