<?php
// php_sessions.php - the page that php_sessions.py asks for: PHP's own sessions, kept in the server.
declare(strict_types=1);

session_start();
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/visit':
        $visits = ($_SESSION['visits'] ?? 0) + 1;
        usleep((int)($_GET['microseconds'] ?? 0));
        $_SESSION['visits'] = $visits;
        echo $visits;
        break;
    case '/basket':
        $_SESSION['basket'][] = ['name' => $_GET['name'], 'price' => 2.5];
        echo json_encode($_SESSION['basket']);
        break;
    case '/login':
        session_regenerate_id(true);
        echo session_id();
        break;
    case '/leave':
        session_destroy();
        echo 'gone';
        break;
    default:
        http_response_code(404);
}
