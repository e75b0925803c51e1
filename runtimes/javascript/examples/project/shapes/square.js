export class Square {
  name = 'square';

  constructor(side) {
    this.side = side;
  }

  area() {
    return this.side ** 2;
  }
}
