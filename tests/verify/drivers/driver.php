<?php
// Judges each line of requests by the snippet beside it; one line of JSON in, one out.
[, $libraries] = $argv;
$folders = ['Lcobucci\\JWT\\' => 'Lcobucci/JWT', 'Lcobucci\\Clock\\' => 'Lcobucci/Clock', 'Psr\\Clock\\' => 'Psr/Clock'];
spl_autoload_register(function (string $class) use ($libraries, $folders): void {
    foreach ($folders as $prefix => $folder) {
        if (str_starts_with($class, $prefix)) {
            require "$libraries/$folder/" . strtr(substr($class, strlen($prefix)), '\\', '/') . '.php';
        }
    }
});
require __DIR__ . '/identity.php';

while (($line = fgets(STDIN)) !== false) {
    $values = array_filter(json_decode($line), fn ($header) => strtolower($header[0]) === 'x-kombo-assertion');
    // A header that stands twice comes to PHP as one, joined by a comma.
    $value = implode(', ', array_column($values, 1));
    try {
        $claims = kombo_identity($value);
        $said = ['claims' => array_map(fn ($it) => $it instanceof DateTimeInterface ? $it->getTimestamp() : $it, $claims)];
    } catch (Throwable $error) {
        $said = ['refused' => $error::class . ': ' . $error->getMessage()];
    }
    echo json_encode($said, JSON_INVALID_UTF8_SUBSTITUTE), "\n";
}
