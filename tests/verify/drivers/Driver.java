// Judges each line of requests by the snippet beside it; one line of JSON in, one out.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jose4j.json.JsonUtil;

public final class Driver {
    public static void main(String[] arguments) throws Exception {
        var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var output = new java.io.PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line; (line = input.readLine()) != null; ) {
            List<String> values = new ArrayList<>();
            // jose4j reads objects only.
            for (Object header : (List<?>) JsonUtil.parseJson("{\"headers\":" + line + "}").get("headers")) {
                List<?> pair = (List<?>) header;
                if (pair.get(0).toString().equalsIgnoreCase("X-Kombo-Assertion")) values.add((String) pair.get(1));
            }
            Map<String, Object> said = new LinkedHashMap<>();
            try {
                said.put("claims", Identity.of(values));
            } catch (Exception error) {
                said.put("refused", error.toString());
            }
            output.println(JsonUtil.toJson(said));
        }
    }
}
