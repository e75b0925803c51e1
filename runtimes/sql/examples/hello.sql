SELECT 'Hello from SQL!' AS greeting;
