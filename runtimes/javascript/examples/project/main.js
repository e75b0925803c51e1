// A program of several files: modules in folders are imported as anywhere.
import { Circle } from './shapes/circle.js';
import { Square } from './shapes/square.js';

for (const shape of [new Circle(1), new Square(2)]) {
  console.log(`${shape.name.padEnd(8)} area ${shape.area().toFixed(2)}`);
}
