# Who makes a request: jwt 2.7 or newer.
require "jwt"
require "net/http"

module KomboIdentity
  KEYS = URI("http://127.0.0.1:8081/jwks.json")
  LOCK = Mutex.new
  @fetched = @asked = -Float::INFINITY

  # The claims of env["HTTP_X_KOMBO_ASSERTION"]; raises JWT::DecodeError and others for anything that is not good.
  def self.of(value)
    raise JWT::DecodeError, "not one token" unless /\A[\w-]+\.[\w-]+\.[\w-]+\z/.match?(value)
    claims, head = JWT.decode(
      value, nil, true,
      algorithms: ["ES256"],
      jwks: ->(asked) { keys(asked[:kid_not_found]) },
      aud: "content-platform", verify_aud: true, # `audience` in bridge.yaml
      iss: "https://learn.example.com", verify_iss: true, # `public_url`
      leeway: 30, required_claims: %w[exp iat]
    )
    raise JWT::DecodeError, "another kind of token" if head["typ"] != "kombo-identity+jwt" || head["crit"]
    raise JWT::InvalidIatError, "from the future" unless claims["iat"] <= Time.now.to_i + 30
    claims
  end

  # Kept for 300 s; for a key that is not known it asks again, but not more than once in 10 s.
  def self.keys(unknown)
    LOCK.synchronize do
      now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      if now - @fetched > 300 || (unknown && now - @asked > 10)
        @asked = now
        options = { use_ssl: KEYS.scheme == "https", open_timeout: 5, read_timeout: 5 }
        answer = Net::HTTP.start(KEYS.host, KEYS.port, options) { |http| http.get(KEYS.path) }
        raise "no keys" unless answer.is_a?(Net::HTTPOK)
        @keys = JSON.parse(answer.body)
        @fetched = now
      end
      @keys
    end
  end
end
