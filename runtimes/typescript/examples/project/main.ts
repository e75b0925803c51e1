// A program of several files: tsconfig.json says where `@shapes/` is.
import { Circle } from '@shapes/circle';
import type { Shape } from '@shapes/shape';
import { Square } from '@shapes/square';

const shapes: Shape[] = [new Circle(1), new Square(2)];
for (const shape of shapes) {
  console.log(`${shape.name.padEnd(8)} area ${shape.area().toFixed(2)}`);
}
