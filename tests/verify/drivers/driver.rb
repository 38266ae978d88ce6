# Judges each line of requests by the snippet beside it; one line of JSON in, one out.
require "json"
require_relative "identity"

$stdout.sync = true
$stdin.each_line do |line|
  values = JSON.parse(line).select { |name, _| name.downcase == "x-kombo-assertion" }.map(&:last)
  begin
    # A header that stands twice comes to Rack as one, joined by a comma; one that is absent as nil.
    said = { claims: KomboIdentity.of(values.empty? ? nil : values.join(",")) }
  rescue StandardError => error
    said = { refused: "#{error.class}: #{error.message}" }
  end
  puts JSON.generate(said)
end
