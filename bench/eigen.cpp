// Eigen behind plain functions: a product with the signature of dnnl_sgemm, and one prediction of a small net.
#include <Eigen/Dense>
#include <cstdint>
using Eigen::Map;
using Eigen::VectorXf;
typedef Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> Rows;

extern "C" int row_major_sgemm(char at, char bt, int64_t m, int64_t n, int64_t k, float, const float *a, int64_t, const float *b,
                               int64_t, float, float *c, int64_t)
{
    Map<Rows> z(c, m, n);
    if (at == 'T') z.noalias() = Map<const Rows>(a, k, m).transpose() * Map<const Rows>(b, k, n);
    else if (bt == 'T') z.noalias() = Map<const Rows>(a, m, k) * Map<const Rows>(b, n, k).transpose();
    else z.noalias() = Map<const Rows>(a, m, k) * Map<const Rows>(b, k, n);
    return 0;
}

// inputs - hidden (ReLU) - outputs (softmax, or sigmoid where there is one); Eigen's own layout of columns.
struct net { Eigen::MatrixXf w1, w2; VectorXf b1, b2, h, o; };
extern "C" void *eigen_net(int inputs, int hidden, int outputs)
{
    net *n = new net;
    n->w1 = 0.1f * Eigen::MatrixXf::Random(hidden, inputs);
    n->w2 = 0.1f * Eigen::MatrixXf::Random(outputs, hidden);
    n->b1 = VectorXf::Random(hidden);
    n->b2 = VectorXf::Random(outputs);
    return n;
}
extern "C" void eigen_predict(void *of, const float *x, float *y)
{
    net &n = *static_cast<net *>(of);
    n.h.noalias() = n.w1 * Map<const VectorXf>(x, n.w1.cols());
    n.h = (n.h + n.b1).cwiseMax(0.0f);
    n.o.noalias() = n.w2 * n.h;
    n.o += n.b2;
    Map<VectorXf> out(y, n.o.size());
    if (n.o.size() == 1) out = (1 + (-n.o.array()).exp()).inverse().matrix();
    else {
        out = (n.o.array() - n.o.maxCoeff()).exp().matrix();
        out /= out.sum();
    }
}
