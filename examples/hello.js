console.log(`Hello! This is Node ${process.version}, running in a sandbox of its own.`);
