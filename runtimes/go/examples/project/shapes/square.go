package shapes

type Square struct{ Side float64 }

func (Square) Name() string { return "square" }

func (square Square) Area() float64 { return square.Side * square.Side }
