"""Adversarial distillation: a critic that sharpens what a student draws in few calls.

**What is missing.** A student's loss, (13.73) or (13.78), asks its leap to end where the teacher's path ends. A network
that is too small, or was trained too short, cannot tell apart all noises that it should; and of all answers for those
that it confounds, the least square is their mean,

    E |Φ − f|² = E |Φ − E[Φ | c]|² + E |E[Φ | c] − f|²,      c what f can tell,                        (13.80)

(the product's mean is 0 for each c). A mean of several letters is a blurred letter, and the first term is the loss that
remains. The loss does not know what letters look like: to be half-way between two is better in square than to be one of
them, and wrong by all else.

**A judge of the leaps.** Let a discriminator D (lesson 08) tell x̂₀ = f(x_t, t), leaps from noised data of all times,
from data x₀, and let the student add to its own loss the generator's,

    L_f = E |f − f⁻|² + w L_G(D(x̂₀)),      L_D as in lesson 08, on x₀ and x̂₀.                         (13.81)

The best logit is log p(x) − log p_f(x), as in (8.2): it pushes off every blur. The two terms do not contend where f is
right: if f = Φ and the teacher is right, then x̂₀ has the law of the data, the best D is ½ everywhere, and both
gradients are 0. Where f cannot be right they do, and w decides: the first term says *which* letter, so that f keeps all
of them (a game alone may lose some), the second that it be one. And D knows the data, the student's loss only the
teacher: what the teacher does badly, this can mend.

The slopes of D are damped by (8.12), as in lesson 08: it sees x̂₀ without noise, where the two laws hardly overlap.

Sources: Sauer, Lorenz, Blattmann & Rombach 2023, arXiv:2311.17042 (adversarial distillation of diffusion); Kim et al.
2023, arXiv:2310.02279 (with consistency). Differs: any student of `Consistency`, any game of lesson 08; D is small, is
trained from nothing, and sees pictures or points, not the features of a large network.
"""

from minigen import nn, ops
from minigen.autograd import Tensor
from minigen.errors import MinigenError
from minigen.models.gan import OBJECTIVES, squared_slope
from minigen.nn.inputs import floating


class Sharpened(nn.Module):
    """A consistency model and the critic of its leaps.

        pair = Sharpened(Consistency(…), critic, weight=0.1)
        loss, leaps = pair.student_loss(x, teacher, rng=rng)       # (B,), and x̂₀ for the critic
        pair.critic_loss(x, leaps)                                 # (B,)

    student:    a `Consistency`
    critic:     samples (B, …) → logits (B,) or (B, 1); with classes: also labels
    weight:     w of (13.81)
    objective:  a name from gan.OBJECTIVES
    r1, r2:     what (8.12) is multiplied with
    """

    def __init__(self, student, critic, *, weight=0.1, objective="relativistic", r1=0.1, r2=0.1):
        if objective not in OBJECTIVES or min(weight, r1, r2) < 0:
            raise MinigenError(f"Sharpened: objective {objective!r}, weight={weight}, r1={r1}, r2={r2}; expected one "
                               f"of {', '.join(OBJECTIVES)}, and numbers of at least 0")
        self.student, self.critic, self.weight, self.objective = student, critic, weight, objective
        self.r1, self.r2 = r1, r2

    def student_loss(self, x, teacher=None, labels=None, **settings):
        """L_f of (13.81), and the leaps x̂₀, arrays. Arguments as in `Consistency.leaps`.   Shapes: (B, …) → (B,)"""
        found, aim = self.student.leaps(x, teacher, labels, **settings)
        gap = found - aim
        loss = ops.mean(gap * gap, dim=tuple(range(1, gap.ndim)))
        if self.weight:
            real = self.logits(Tensor(floating(x)), labels).detach() if self.objective == "relativistic" else None
            loss = loss + self.weight * OBJECTIVES[self.objective].generator(real, self.logits(found, labels))
        return loss, found.data

    def critic_loss(self, x, leaps, labels=None):
        """L_D of (13.81) and its penalties.   Shapes: x, leaps (B, …) → (B,)"""
        real, fake = (Tensor(floating(part), requires_grad=bool(weight)) for part, weight in ((x, self.r1),
                                                                                             (leaps, self.r2)))
        t_real, t_fake = self.logits(real, labels), self.logits(fake, labels)
        loss = OBJECTIVES[self.objective].discriminator(t_real, t_fake)
        if self.r1:
            loss = loss + 0.5 * self.r1 * squared_slope(t_real, real)  # (8.12)
        if self.r2:
            loss = loss + 0.5 * self.r2 * squared_slope(t_fake, fake)
        return loss

    def logits(self, x, labels=None):
        """t(x), (B, …) → (B,)."""
        return ops.reshape(self.critic(x) if labels is None else self.critic(x, labels), (-1,))
