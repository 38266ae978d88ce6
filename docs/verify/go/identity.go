// Package identity says who makes a request: golang-jwt 5.
package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var (
	lock    sync.Mutex
	keys    map[string]*ecdsa.PublicKey
	fetched time.Time
	asked   time.Time
	client  = http.Client{Timeout: 5 * time.Second}
	parser  = jwt.NewParser(
		jwt.WithValidMethods([]string{"ES256"}),
		jwt.WithAudience("content-platform"),        // audience in bridge.yaml
		jwt.WithIssuer("https://learn.example.com"), // public_url
		jwt.WithLeeway(30*time.Second), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
)

// Of gives the claims of r.Header.Values("X-Kombo-Assertion"), or an error for anything that is not good.
func Of(values []string) (jwt.MapClaims, error) {
	if len(values) != 1 {
		return nil, errors.New("X-Kombo-Assertion has to stand exactly once")
	}
	claims := jwt.MapClaims{}
	if _, err := parser.ParseWithClaims(values[0], claims, key); err != nil {
		return nil, err
	}
	if claims["iat"] == nil {
		return nil, errors.New("iat is missing")
	}
	return claims, nil
}

// Keys are kept for 300 s; for one that is not known they are asked for again, but not more than once in 10 s.
func key(token *jwt.Token) (any, error) {
	kid, _ := token.Header["kid"].(string)
	if token.Header["typ"] != "kombo-identity+jwt" || token.Header["crit"] != nil {
		return nil, errors.New("another kind of token")
	}
	lock.Lock()
	defer lock.Unlock()
	if time.Since(fetched) > 300*time.Second || (keys[kid] == nil && time.Since(asked) > 10*time.Second) {
		asked = time.Now()
		found, err := fetch()
		if err != nil {
			return nil, err
		}
		keys, fetched = found, asked
	}
	if keys[kid] == nil {
		return nil, errors.New("another key")
	}
	return keys[kid], nil
}

func fetch() (map[string]*ecdsa.PublicKey, error) {
	answer, err := client.Get("http://127.0.0.1:8081/jwks.json")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var set struct {
		Keys []struct{ Kid, Crv, X, Y string }
	}
	if err := json.NewDecoder(answer.Body).Decode(&set); err != nil || answer.StatusCode != http.StatusOK {
		return nil, errors.New("no keys")
	}
	found := map[string]*ecdsa.PublicKey{}
	for _, each := range set.Keys {
		x, err := base64.RawURLEncoding.DecodeString(each.X)
		y, other := base64.RawURLEncoding.DecodeString(each.Y)
		point := ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
		if each.Crv == "P-256" && each.Kid != "" && err == nil && other == nil && point.IsOnCurve(point.X, point.Y) {
			found[each.Kid] = &point
		}
	}
	return found, nil
}
