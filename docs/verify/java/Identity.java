// Who makes a request: jose4j 0.9.6.
import static org.jose4j.jwa.AlgorithmConstraints.ConstraintType.PERMIT;
import static org.jose4j.jws.AlgorithmIdentifiers.ECDSA_USING_P256_CURVE_AND_SHA256;

import java.util.List;
import java.util.Map;
import org.jose4j.http.Get;
import org.jose4j.jwk.HttpsJwks;
import org.jose4j.jwt.consumer.InvalidJwtException;
import org.jose4j.jwt.consumer.JwtConsumer;
import org.jose4j.jwt.consumer.JwtConsumerBuilder;
import org.jose4j.jwt.consumer.JwtContext;
import org.jose4j.keys.resolvers.HttpsJwksVerificationKeyResolver;

public final class Identity {
    private static final HttpsJwks KEYS = new HttpsJwks("http://127.0.0.1:8081/jwks.json");
    private static final JwtConsumer CONSUMER;

    static {
        Get get = new Get();
        get.setConnectTimeout(5_000);
        get.setReadTimeout(5_000);
        KEYS.setSimpleHttpGet(get);
        KEYS.setDefaultCacheDuration(300);
        KEYS.setRefreshReprieveThreshold(10_000); // before asking again for a key that it does not know
        CONSUMER = new JwtConsumerBuilder()
                .setVerificationKeyResolver(new HttpsJwksVerificationKeyResolver(KEYS))
                .setJwsAlgorithmConstraints(PERMIT, ECDSA_USING_P256_CURVE_AND_SHA256)
                .setExpectedType(true, "kombo-identity+jwt")
                .setExpectedAudience("content-platform") // `audience` in bridge.yaml
                .setExpectedIssuer("https://learn.example.com") // `public_url`
                .setRequireExpirationTime()
                .setRequireIssuedAt()
                .setIssuedAtRestrictions(0, 60)
                .setAllowedClockSkewInSeconds(30)
                .build();
    }

    /** The claims of the values of X-Kombo-Assertion; throws for anything that is not good. */
    public static Map<String, Object> of(List<String> values) throws Exception {
        if (values.size() != 1) throw new IllegalArgumentException("X-Kombo-Assertion has to stand exactly once");
        JwtContext token = CONSUMER.process(values.get(0));
        if (token.getJoseObjects().get(0).getKeyIdHeaderValue() == null) throw new IllegalArgumentException("no kid");
        return token.getJwtClaims().getClaimsMap();
    }
}
